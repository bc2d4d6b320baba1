class FontSheetsDataModule: pass
